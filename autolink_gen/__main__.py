"""``python -m autolink_gen``: the command line, where the program itself is not on the path."""

from autolink_gen.cli.main import main

if __name__ == "__main__":
    main()
