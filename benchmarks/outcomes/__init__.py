"""What the decisions are worth: the same simulated deliveries, with faults, flown by four policies.

- `model.yaml`: the declared fault model; `drawing`: one delivery drawn from it by its seed.
- `truth`, `motion`: what happens to the dose and the vehicle. `sensing`: what the box says of it.
- `run`: one delivery flown under a policy's commands; `seen`: all that a policy is given.
- `policies`: the engine, the threshold alarm, always continue. `clairvoyant`: the one that knows the future.
- `judging`: what an end is worth; `table`, `plot`, `series`: many of them.
"""
