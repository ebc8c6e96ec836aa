"""What happens at a station, in the messages of OCPP 2.0.1. A transaction numbers what is said of it."""

from datetime import datetime
from random import Random
from typing import Any, Final
from uuid import UUID

from emw.simulator.ocpp.meter import Metered, stamp, value_201
from emw.simulator.ocpp.outbox import Saying, Worth
from emw.simulator.ocpp.voice import CONNECTOR, VENDOR, Cause, ConnectorState, Heard, Sampling, Transaction

_STATES_201: Final = {
    ConnectorState.PREPARING: "EVConnected",
    ConnectorState.CHARGING: "Charging",
    ConnectorState.SUSPENDED_EV: "SuspendedEV",
    ConnectorState.SUSPENDED_EVSE: "SuspendedEVSE",
    ConnectorState.FINISHING: "EVConnected",
}
_BEGAN_201: Final = {Cause.TAG: "Authorized", Cause.REMOTE: "RemoteStart"}
_ENDED_201: Final[dict[Cause, tuple[str, str]]] = {
    Cause.UNPLUGGED: ("EVDeparted", "EVDisconnected"),
    Cause.REMOTE: ("RemoteStop", "Remote"),
    Cause.NOT_ALLOWED: ("Deauthorized", "DeAuthorized"),
    Cause.RESET: ("ResetCommand", "ImmediateReset"),
    Cause.HARD_RESET: ("ResetCommand", "ImmediateReset"),
    Cause.POWER: ("AbnormalCondition", "PowerLoss"),
}
_ASKED_201: Final = {"Trigger": "Trigger", "Sample.Clock": "MeterValueClock"}


class Voice201:
    """OCPP 2.0.1."""

    unreadable = "RpcFrameworkError"

    def transaction_id(self, rng: Random) -> str | None:
        return str(UUID(int=rng.getrandbits(128), version=4))

    def boot(self, model: str, serial: str, *, restarted: bool, heard: Heard) -> Saying:
        station = {"model": model[:20], "vendorName": VENDOR, "firmwareVersion": "1"}
        station["serialNumber"] = serial[-25:]
        said = {"reason": "RemoteReset" if restarted else "PowerUp", "chargingStation": station}
        return Saying("BootNotification", lambda: said, early=True, heard=heard)

    def heartbeat(self) -> Saying:
        return Saying("Heartbeat", dict)

    def authorize(self, tag: str, heard: Heard) -> Saying:
        return Saying("Authorize", lambda: {"idToken": _token(tag)}, heard=heard)

    def status(self, state: ConnectorState, at: datetime) -> list[Saying]:
        said = {
            "timestamp": stamp(at),
            "connectorStatus": "Available" if state is ConnectorState.AVAILABLE else "Occupied",
            "evseId": CONNECTOR,
            "connectorId": 1,
        }
        return [Saying("StatusNotification", lambda: said)]

    def changed(
        self,
        old: ConnectorState,
        new: ConnectorState,
        transaction: Transaction | None,
        metered: Metered,
        *,
        offline: bool,
    ) -> list[Saying]:
        found = []
        if not offline and (old is ConnectorState.AVAILABLE) != (new is ConnectorState.AVAILABLE):
            found += self.status(new, metered.at)
        if transaction is not None and new is not transaction.state:
            transaction.state = new
            found.append(_event("Updated", transaction, metered, "ChargingStateChanged", offline=offline))
        return found

    def began(
        self, transaction: Transaction, metered: Metered, cause: Cause, heard: Heard, *, offline: bool
    ) -> Saying:
        extra = {"idToken": _token(transaction.tag)}
        return _event(
            "Started", transaction, metered, _BEGAN_201[cause], offline=offline, heard=heard, extra=extra
        )

    def measured(
        self,
        transaction: Transaction | None,
        metered: Metered,
        sampling: Sampling,
        context: str,
        *,
        offline: bool,
    ) -> Saying:
        value = value_201(metered, sampling.measurands, context, per_phase=sampling.per_phase)
        if transaction is None:
            return Saying("MeterValues", lambda: {"evseId": CONNECTOR, "meterValue": [value]})
        reason = _ASKED_201.get(context, "MeterValuePeriodic")
        extra = {"meterValue": [value]}
        return _event("Updated", transaction, metered, reason, Worth.METER, offline=offline, extra=extra)

    def ended(self, transaction: Transaction, metered: Metered, cause: Cause, *, offline: bool) -> Saying:
        reason, stopped = _ENDED_201[cause]
        value = value_201(metered, ("Energy.Active.Import.Register",), "Transaction.End", per_phase=False)
        extra = {"meterValue": [value]}
        return _event(
            "Ended",
            transaction,
            metered,
            reason,
            offline=offline,
            extra=extra,
            info={"stoppedReason": stopped},
        )


def _token(tag: str) -> dict[str, str]:
    return {"idToken": tag, "type": "Central"}


def _event(
    kind: str,
    transaction: Transaction,
    metered: Metered,
    reason: str,
    worth: Worth = Worth.TRANSACTION,
    *,
    offline: bool,
    heard: Heard | None = None,
    extra: dict[str, Any] | None = None,
    info: dict[str, str] | None = None,
) -> Saying:
    about: dict[str, Any] = {"transactionId": transaction.id, **(info or {})}
    if kind != "Ended":
        about["chargingState"] = _STATES_201[transaction.state]
    if transaction.remote_start_id is not None:
        about["remoteStartId"] = transaction.remote_start_id
    said: dict[str, Any] = {
        "eventType": kind,
        "timestamp": stamp(metered.at),
        "triggerReason": reason,
        "seqNo": transaction.next_seq(),
        "transactionInfo": about,
        "evse": {"id": CONNECTOR, "connectorId": 1},
        **(extra or {}),
    }
    if offline:
        said["offline"] = True
    return Saying("TransactionEvent", lambda: said, worth, heard=heard)
