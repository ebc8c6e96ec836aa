"""emw as central system for real stations: OCPP 1.6J, 2.0.1 and 2.1 (docs/reference/ocpp).

    upgrade ─► doorman        who may come in, and as whom
                  │
               socket         WebSocket
                  │ frames          (their framing: `stations.ocppj`)
              connection      one station's: `rates` bound it; `home` and `seams` are what it needs of others
                  │ messages                                   ▲ CALLs of ours
              v16, v201       by `wire`, `wire16`, `wire201`;  │
                  │           `alike`, `boots`                 │
         charging, readings   by `needs`; `meter`, `said`    limits    by `profiles`, `dynamic`, `theirs`
                  │                                            │
               service                                      service

`hub` keeps all connections and looks after them (`due`, `meters`). What is known of a station is its `peer` and its
`traits`: tried first on others of its kind (`models`), and asked for (`questions`). `central` puts the parts together,
by the `settings`; `console` is the operator's way to a single station.

Where a station has a CSMS of its own: `proxy` says for whom emw stands between, and `relayed` does, over a socket to
the CSMS (`upstream`). `watching` is what emw takes from what passes by, `debt_book` what it owes the CSMS.
"""
