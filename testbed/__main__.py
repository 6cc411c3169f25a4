"""`python -m testbed`: the same program as `docker-host-testbed`."""

from testbed.tasks.program import main

if __name__ == "__main__":
    main()
