"""The decision engine: what a flight does next, and why.

- `types`: what goes in and comes out; `conditions` and `faults`: the fault table;
  `payload`: which candidates may be flown and what each costs the patient; `engine`: `decide`, which brings them
  together.
"""
