"""python -m fundusrt_training.data.angiogram OUT --count N --seed S."""

import sys

import click

from fundusrt.cli import exit_code
from fundusrt.errors import FundusRTError
from fundusrt_training.data.angiogram.cli import generate_command

if __name__ == "__main__":
    try:
        generate_command(prog_name="python -m fundusrt_training.data.angiogram")
    except FundusRTError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(exit_code(error))
