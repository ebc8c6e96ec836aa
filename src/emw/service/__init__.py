"""When things happen: asyncio, ports, no protocol, no SQL, no threads, no clock or dice but those it is given.

`headend` plugs the parts together over `ports`. What comes in, who decides, and what goes out:

         stations                 grid systems                 people, drivers
            │ gate                     │ gate                         │
    intake, station_book       requests, caution          admin, by_hand, drivers,
          shown                 signals, owing                  vtn_clients
            └──────────────────────────┼──────────────────────────────┘
                                       ▼
                                    ledger    facts: durable when it returns
                                       │ wakes
                                       ▼
    telemetry ─► learning ─► picture ─► dispatch    decides, one task per tree
                                       │
                         ┌─────────────┴─────────────┐
                         ▼                           ▼
                     commands                    accounts    what was asked, confirmed, measured
                         │                           │ tally, twins
                     stations             outbox, grid_outbox ─► grid

`coming` is who comes, `memory` what of all that was learned outlives the process, `recall` what moved load before a
start. `asking` and `customer_cap` say who can't be asked now, `watch` does what time brings, and `meter` meters
territories for reports to the grid. `what_if` asks the engine and does nothing; `evidence` proves sheds from stored
rows. `grid_view` and `grid_standing` tell people about the grid, and `sign_on` is where others check who logs in.
`settings`, `errors`, `faults`, `groups` and `wake` serve all of them.
"""
