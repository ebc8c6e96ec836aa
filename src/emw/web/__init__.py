"""The operator's side: JSON API, login, the live console and metrics. Reads the service, changes through its doors.

        browsers, machines, this machine's owner
                           │
                         shell    what holds for every request and answer: host, body, headers
                           │
                         auth     who speaks, and may: by `logins`, `passwords`; then `queries` and bodies
                           │ caller
          ┌────────────────┼────────────────────┐
        api_*            pages           live, metrics
          │ wire           │ frame, render      │ board, past
          └────────────────┼────────────────────┘
                        service

`app` puts the parts together, by the `settings` and with what others made (`extras`); handlers are `given` them.

The API is a file for each subject: `api_evses`, `api_by_hand` and `api_drivers` for EVSEs and who charges there,
`api_requests`, `api_shed`, `api_reports` and `api_what_if` for requests, `api_grid` and `api_vtn` for who sends them,
`api_ocpp` for single stations, `api_map`, `api_log`, and `api_admin`, `api_login` and `api_sso` for people. What goes
over the line is in `wire`, `wire_people` and `wire_what_if`; what is refused becomes a problem in `problems`, in the
reader's words by `refusals`; `description` completes OpenAPI.

Most `pages` (and `access_pages`) are frames, and their data comes by the API. Reports are made whole, to be printed:
`report_pages` with `figures`, `svg` and `taking_part`. All in the reader's language: `tongue` has the catalogues,
`words` and `log_words` say which sentence.

The live feed is made once for all who look (`ticks`, `packing`), from the same rows as lists and metrics; `places` is
the map's ground, `readiness` whether this server can do its work. `drive` is the drivers' page, an app of its own.
"""
