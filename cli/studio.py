"""`autolink-gen studio`: a page in the browser to look at a graph, paint on it, move pictures, name landmarks."""

import threading

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import command
from autolink_gen.cli.completion import runs_of
from autolink_gen.cli.options import device_option, echo, pick_device


@command()
@click.argument("run", required=False, shell_complete=runs_of("graph", "gan", "transfer"))
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True,
              help="Address to listen on; another lets others in the network use the studio.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65535), help="Port. [default: the first free one from 7860 on]")
@click.option("--share", is_flag=True, help="Ask gradio's service for a public address, for anybody who has it.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open it in the browser.")
@device_option
def studio(*, run: str | None, host: str, port: int | None, share: bool, browser: bool, device: str | None) -> None:
    """Look at a graph, drag its points to paint, move pictures by videos, and name landmarks, in the browser.

    RUN is the run of a GAN, a graph or a transfer network, by name or folder; the transfer network of its name comes
    with it. Without RUN the newest GAN's is taken, else the newest graph's, else the embedded puppets'. Only this
    machine can open the page unless --host or --share says otherwise. Files that are given to the page are kept no
    longer than the studio is open. Ends with Ctrl-C.

    \b
    Examples:
      autolink-gen studio
      autolink-gen studio birds --port 8000 --no-browser
    """
    desks = verbs.open_desks(run, device=pick_device(device))
    with verbs.serving(desks, host=host, port=port, share=share, browser=browser) as address:
        echo(f"model: {desks.graph.name}", f"the studio is open at {address}; Ctrl-C ends it")
        ended = threading.Event()
        while not ended.wait(timeout=1):  # a signal that another thread took is seen at the next turn
            pass
