"""`python -m cvtrain`."""

from cvtrain.command import console

if __name__ == "__main__":
    console()
