"""`python -m cvtrain`, and the command `cvtrain`."""

from cvtrain.cli.main import console

if __name__ == "__main__":
    console()
