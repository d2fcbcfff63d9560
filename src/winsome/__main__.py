"""`python -m winsome`: the command line."""

from winsome.cli import main

if __name__ == "__main__":
    main()
