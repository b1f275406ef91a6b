"""The cold chain: what a product tolerates, what the box's sensors can be believed, what follows from it and what will.

- `product`: stability profiles (`configs/products/*.yaml`), each with its source.
- `samples`: sensor truth. A reading is judged before it is believed; a bad sensor is never read as in range.
- `assess`: pure incremental assessment (mean kinetic temperature, time per band, alarms, budget) and the verdict.
- `monitor`: one box on one order: samples in, in whatever order they come, the same verdict out.
- `thermal`: a lumped model of box and pack as a bank of hypotheses, estimated on line.
- `forecast`: what it foretells, and the chance of arriving in range, for each way to go on.
"""
