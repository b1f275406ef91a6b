"""The decision engine: what a flight does next, and why.

- `types`: what goes in and comes out; `conditions` and `faults`: the fault table;
  `payload`: which candidates may be flown and what each costs the patient; `proposing`: what an operator is asked
  first; `engine`: `decide`, which brings them together.
- `bare`: what a record keeps of it; `repeats`: answers that are given again.
"""
