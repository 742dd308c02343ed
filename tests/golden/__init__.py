"""Golden values: numbers that the code gave when its versions were last raised. `python -m tests.golden --write`
stores them."""
