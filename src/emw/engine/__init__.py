"""What to do: pure functions. Numpy is welcome; I/O, clocks and dice are not.

How a round of the service comes about, and which file does what:

    once a minute: the tree's readings             each round: the tree as it is
            │ columns                                        │ view
            ▼                                                ▼
          learn                                           decide
            ├─ estimate  what would be drawn                 ├─ share   sheds: keep, ask, give back, hand on
            │    ├─ need, finishing  when it finishes        │    ├─ cheapest   whom to ask, by price
            │    ├─ stay             when it leaves          │    ├─ evenly     the same where none is known
            │    ├─ taper            what is lost before     │    └─ relief     whom to let go of for others
            │    └─ answers          who obeys               ├─ law     ceilings, and what leans on them
            └─ price     what a hold costs                   └─ orders  changes, renewals, the way back
            │                                                │
            ▼                                                ▼
    Belief of each vehicle ─► EvseView                     Plan ─► governor ─► stations

The hazards of finishing and leaving are read from `priors` and `prior_stays` by way of `tables`, and from what drivers
`told`; what is remembered of a vehicle is in `vehicles`, and `past` is what of it outlives a restart. `ladder` is how
far each EVSE can be brought down: on it `cheapest` and `evenly` choose. `share` and `law` write what is `wanted`;
`ceilings` are what a law adds up, `headroom` is what it leaves. `turns` makes a price dearer for who gave lately, and
`peaks` says how high the load may come back. In `service`, `learning` feeds the learner, `picture` makes the view, and
`dispatch` carries out the plan.

`emw allocate` knows one fleet, one request and no tree. `neutral` reads its lines (`minutes`, `absent`), and `loop` is
its round: the same `estimate`, `price` and `relief`, with `ask_more` for whom to ask and `restore` for the way back.

Beside the rounds: `owed` (what signals ask for), `forecast` and `arrivals` (what can be shed later), `measured` and
`baseline` (what was), `plausible` (a meter that contradicts itself).
"""
