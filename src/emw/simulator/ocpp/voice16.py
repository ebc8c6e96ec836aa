"""What happens at a station, in the messages of OCPP 1.6J."""

from datetime import datetime
from random import Random
from typing import Any

from emw.simulator.ocpp.meter import Metered, stamp, value_16
from emw.simulator.ocpp.outbox import Saying, Worth
from emw.simulator.ocpp.voice import CONNECTOR, VENDOR, Cause, ConnectorState, Heard, Sampling, Transaction


class Voice16:
    """OCPP 1.6J."""

    unreadable = "FormationViolation"

    def transaction_id(self, rng: Random) -> str | None:
        return None

    def boot(self, model: str, serial: str, *, restarted: bool, heard: Heard) -> Saying:
        said = {"chargePointVendor": VENDOR, "chargePointModel": model[:20], "firmwareVersion": "1"}
        said["chargePointSerialNumber"] = serial[-25:]
        return Saying("BootNotification", lambda: said, early=True, heard=heard)

    def heartbeat(self) -> Saying:
        return Saying("Heartbeat", dict)

    def authorize(self, tag: str, heard: Heard) -> Saying:
        return Saying("Authorize", lambda: {"idTag": tag}, heard=heard)

    def status(self, state: ConnectorState, at: datetime) -> list[Saying]:
        return [_status_16(0, ConnectorState.AVAILABLE, at), _status_16(CONNECTOR, state, at)]

    def changed(
        self,
        old: ConnectorState,
        new: ConnectorState,
        transaction: Transaction | None,
        metered: Metered,
        *,
        offline: bool,
    ) -> list[Saying]:
        return [] if offline else [_status_16(CONNECTOR, new, metered.at)]

    def began(
        self, transaction: Transaction, metered: Metered, cause: Cause, heard: Heard, *, offline: bool
    ) -> Saying:
        said = {
            "connectorId": CONNECTOR,
            "idTag": transaction.tag,
            "meterStart": round(metered.energy_wh),
            "timestamp": stamp(metered.at),
        }
        return Saying("StartTransaction", lambda: said, Worth.TRANSACTION, heard=heard)

    def measured(
        self,
        transaction: Transaction | None,
        metered: Metered,
        sampling: Sampling,
        context: str,
        *,
        offline: bool,
    ) -> Saying:
        value = value_16(metered, sampling.measurands, context, per_phase=sampling.per_phase)

        def said() -> dict[str, Any]:
            made: dict[str, Any] = {"connectorId": CONNECTOR, "meterValue": [value]}
            if transaction is not None and transaction.id is not None:
                made["transactionId"] = int(transaction.id)
            return made

        worth = Worth.PASSING if transaction is None else Worth.METER
        return Saying("MeterValues", said, worth)

    def ended(self, transaction: Transaction, metered: Metered, cause: Cause, *, offline: bool) -> Saying:
        meter_stop, at = round(metered.energy_wh), stamp(metered.at)

        def said() -> dict[str, Any]:
            # An answer to StartTransaction that never came leaves no id; stations in the field say -1 then.
            number = -1 if transaction.id is None else int(transaction.id)
            made = {"transactionId": number, "meterStop": meter_stop, "timestamp": at, "reason": cause.value}
            return made | ({} if cause is Cause.NOT_ALLOWED else {"idTag": transaction.tag})

        return Saying("StopTransaction", said, Worth.TRANSACTION)


def _status_16(connector: int, state: ConnectorState, at: datetime) -> Saying:
    said = {"connectorId": connector, "errorCode": "NoError", "status": state.value, "timestamp": stamp(at)}
    return Saying("StatusNotification", lambda: said)
