"""The exit codes of all tasks; 0 is good."""

FINDING = 1
COULD_NOT_RUN = 2
NOT_JUDGED = 3  # the task ran and found nothing, and something could not be judged; the output names it
INTERRUPTED = 130
