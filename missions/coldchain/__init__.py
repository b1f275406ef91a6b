"""The cold chain: what a product tolerates, what the box's sensors can be believed, what follows from it and what will.

- `product`: stability profiles (`configs/products/*.yaml`), each with its source.
- `samples`: sensor truth. A reading is judged before it is believed; a bad sensor is never read as in range.
- `tally`: time per range and heat, as read, and the least and the most that gaps and accuracy allow.
- `assess`: pure incremental assessment (bands, alarms, budget) and the verdict; `mkt`: the mean kinetic temperature.
- `monitor`: one box on one order: samples in, in whatever order they come, the same verdict out.
- `thermal`: a lumped model of box and pack as a bank of hypotheses, estimated on line.
- `forecast`: what it foretells, and the chance of arriving in range, for each way to go on.
"""
