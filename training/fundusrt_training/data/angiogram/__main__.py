"""python -m fundusrt_training.data.angiogram OUT --count N --seed S."""

from fundusrt_training.data.angiogram.cli import generate_command

if __name__ == "__main__":
    generate_command(prog_name="python -m fundusrt_training.data.angiogram")
