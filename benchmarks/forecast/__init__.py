"""How far the forecasts of product temperature, of being in range and of the battery come true."""
