#!/bin/sh
# One car and one decrease, every message by hand. Starts a server of its own in a temporary folder and stops it again.
# Needs curl, and emw: the repository's own where `make` has been run, else what PATH finds.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
PATH="$here/.venv/bin:$PATH"
work=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || { kill "$server" && wait "$server" || true; }
  rm -rf "$work"
}
trap stop EXIT
cd "$work"

# A field of a JSON object on stdin, by its path: `field limit.commandID`.
field() { python3 -c 'import functools, json, sys
print(functools.reduce(lambda x, k: x[k], sys.argv[1].split("."), json.load(sys.stdin)))' "$1"; }

# say TOKEN PATH BODY: one message, shown with its answer; the answer stays in the file `answer`.
say() {
  printf '\n> POST %s\n  %s\n' "$2" "$3"
  curl --silent --show-error --fail-with-body -H "Authorization: Bearer $1" -H 'Content-Type: application/json' \
    "$url$2" -d "$3" > answer
  printf '< %s\n' "$(cat answer)"
}
beat() {
  say "$token" /evse/plugInHeartBeat '{"evseID":"E1","timestamp":"'"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'","lineVoltage":230,
   "currentAmps":'"$1"',"evseMaxAmps":32,"carMaxAmps":32,"limitAmps":'"$2"',"energyKWh":0.1}'
}

export EMW_DATA_DIR="$work/data"
emw territory add East > /dev/null
emw serve --json --stations 127.0.0.1:0 --operator 127.0.0.1:0 > ready 2> log &
server=$!
while [ ! -s ready ]; do sleep 0.2; kill -0 "$server"; done
url=$(field stations < ready)
echo "the server listens at $url"

secret=$(emw station add E1 --json | field secret)
iso=$(emw iso add grid --territory East --json | field token)

# A station without an accessURL can't be called: it hears its limits in answers, and says when it has obeyed.
say "$secret" /evse/powerOn '{"evseID":"E1","evseModel":"Wallbox 1","customerID":"c-17","lineVoltage":230,
   "status":"available","location":{"territory":"East"},"evseMaxAmps":32}'
token=$(field token < answer)
say "$token" /evse/plugIntoVehicle '{"evseID":"E1","lineVoltage":230,"evseMaxAmps":32,"carMaxAmps":32}'
beat 30 null

say "$iso" /iso/connected '{}'
# Without a Prefer header this answers once every station has, or after 5 s.
say "$iso" /iso/decrease '{"requestID":"R1","territory":"East","kW":2,"durationMinutes":10}'
beat 30 null
command=$(field limit.commandID < answer)
amps=$(field limit.maxAmps < answer)
say "$token" /evse/adjustedMaxAmps '{"evseID":"E1","newMaxAmps":'"$amps"',"commandID":"'"$command"'"}'
sleep 1 # a reading of the same second as the last one would count as said twice
beat "$amps" "$amps"

printf '\n> GET /iso/requests/R1\n'
curl --silent --show-error --fail-with-body -H "Authorization: Bearer $iso" "$url/iso/requests/R1" > answer
printf '< %s\n' "$(cat answer)"
confirmed=$(field confirmedKW < answer)
measured=$(field measuredKW < answer)

say "$iso" /iso/returnToNormal '{"requestID":"R1"}'
say "$token" /evse/unplugged '{"evseID":"E1","energyKWh":0.2}'
say "$token" /evse/powerOff '{"evseID":"E1"}'

printf '\nasked 2.0 kW, confirmed %s kW, measured %s kW\n' "$confirmed" "$measured"
