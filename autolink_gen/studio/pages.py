"""The page: each tab is one HTML component, whose script asks the functions given here; all else is elsewhere."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Annotated, Any, TypeVar

from pydantic import Field

from autolink_gen.common.extras import needs
from autolink_gen.config import build
from autolink_gen.models.autolink import AutoLink
from autolink_gen.studio.answers import answer_of
from autolink_gen.studio.desks import Desks
from autolink_gen.studio.graphs import FoundPoints, GraphDesk, GraphRequest, find_keypoints
from autolink_gen.studio.jobs import Job, Jobs, Work
from autolink_gen.studio.labelling import LabelDesk, LabelRequest
from autolink_gen.studio.painting import PaintingDesk, PaintRequest, StyleChoice, keypoints_json
from autolink_gen.studio.shelf import Shelf
from autolink_gen.studio.transferring import TransferDesk, TransferRequest, request_of
from autolink_gen.studio.uploads import data_url, facts_of, for_screen, naming, open_upload, picture_of
from autolink_gen.studio.walks import walk_video
from autolink_gen.studio.workshop import Workshop

with needs("studio", "the studio"):
    import gradio as gr

Request = TypeVar("Request")
Answer = Callable[[Any], dict[str, Any]]
NO_TRANSFER = (
    "there is no transfer network to move pictures with yet; train one, then open the studio on it: "
    "autolink-gen train-transfer"
)
NO_GAN = "there is no GAN to paint with yet; train one, then open the studio on it: autolink-gen train-gan"


@dataclass(frozen=True)
class Upload:
    """A picture from a page: the name of its file and the content in base64."""

    name: Annotated[str, Field(max_length=4096)]
    content: str


@dataclass(frozen=True)
class VideoRequest:
    """The token of a video, or a picture, that the page sent."""

    token: Annotated[str, Field(max_length=64)]


@dataclass(frozen=True)
class JobKey:
    """The key of a job that the page began."""

    key: Annotated[str, Field(max_length=64)]


def build_page(desks: Desks, workshop: Workshop) -> gr.Blocks:
    """The studio on the models of a run; nothing is fetched from, or told to, another host."""
    graph, painter = desks.graph, desks.painter
    with gr.Blocks(title="autolink-gen studio", analytics_enabled=False, fill_width=True) as page, gr.Tabs():
        with gr.Tab("Graph", id="graph"):
            _tab("graph", {"pose": graph.pose, "name": graph.name}, _graph_answers(graph, workshop))
        with gr.Tab("Paint", id="paint"):
            if painter is None:
                gr.Markdown(NO_GAN)
            else:
                _tab("paint", asdict(painter.skeleton()), _paint_answers(painter, workshop))
        with gr.Tab("Transfer", id="transfer"):
            if desks.transfer is None:
                gr.Markdown(NO_TRANSFER)
            else:
                value = {"size_px": desks.transfer.network.usual_size}
                _tab("transfer", value, _transfer_answers(desks.transfer, workshop))
        with gr.Tab("Label", id="label"):
            _tab("label", {}, _label_answers(graph, LabelDesk(graph.graph, name=graph.name)))
    return page


def _tab(name: str, value: dict[str, Any], answers: list[Answer]) -> None:
    """A component from its template, its style and its script, which lie beside this module."""
    files = resources.files(__package__)
    texts = {file: (files / file).read_text(encoding="utf-8") for file in (f"{name}.html", f"{name}.js")}
    common, style = ((files / file).read_text(encoding="utf-8") for file in ("common.js", "studio.css"))
    gr.HTML(
        value=value,
        html_template=texts[f"{name}.html"],
        css_template=style,
        js_on_load=common + texts[f"{name}.js"],
        apply_default_css=False,
        server_functions=answers,
        elem_id=f"{name}-tab",
    )


def _graph_answers(desk: GraphDesk, workshop: Workshop) -> list[Answer]:
    def facts(data: Any) -> dict[str, Any]:
        return _answer(GraphRequest, data, lambda request: asdict(desk.facts(request)))

    def find_points(data: Any) -> dict[str, Any]:
        return _answer(Upload, data, lambda upload: _found(upload, desk.find, or_video=True))

    def find_live(data: Any) -> dict[str, Any]:
        def find(upload: Upload) -> dict[str, Any]:
            pixels = picture_of(upload.name, upload.content)
            return {**asdict(desk.find(pixels)), "width": pixels.shape[1], "height": pixels.shape[0]}

        return _answer(Upload, data, find)

    def find_in_video(data: Any) -> dict[str, Any]:
        return _answer(VideoRequest, data, lambda request: _walk(request, desk.graph, workshop, name=desk.name))

    return [facts, find_points, find_live, find_in_video, *_job_answers(workshop.jobs)]


def _paint_answers(desk: PaintingDesk, workshop: Workshop) -> list[Answer]:
    def paint(data: Any) -> dict[str, Any]:
        return _answer(PaintRequest, data, lambda request: _painted(desk, request))

    def find_pose(data: Any) -> dict[str, Any]:
        def find(pixels: Any) -> FoundPoints:
            return find_keypoints(desk.gan.graph, pixels, name=desk.name)

        return _answer(Upload, data, lambda upload: _found(upload, find, or_video=True))

    def find_style(data: Any) -> dict[str, Any]:
        def begin(upload: Upload) -> dict[str, Any]:
            square = desk.square(picture_of(upload.name, upload.content))
            return _begin(workshop, lambda job: asdict(desk.find_style(square, progress=job.progress)))

        return _answer(Upload, data, begin)

    def style_file(data: Any) -> dict[str, Any]:
        return _answer(StyleChoice, data, lambda choice: {"file": desk.style_file(choice)})

    def find_in_video(data: Any) -> dict[str, Any]:
        def begin(request: VideoRequest) -> dict[str, Any]:
            return _walk(request, desk.gan.graph, workshop, name=desk.name, with_pictures=False)

        return _answer(VideoRequest, data, begin)

    return [paint, find_pose, find_style, style_file, find_in_video, *_job_answers(workshop.jobs)]


def _transfer_answers(desk: TransferDesk, workshop: Workshop) -> list[Answer]:
    def look_at(data: Any) -> dict[str, Any]:
        return _answer(VideoRequest, data, lambda request: _facts(request.token, workshop.uploads))

    def begin_transfer(data: Any) -> dict[str, Any]:
        def begin(request: TransferRequest) -> dict[str, Any]:
            def move(job: Job) -> dict[str, Any]:
                with workshop.uploads.using(request.source, request.driver) as [source, driver]:
                    return asdict(desk.move(request, source, driver, results=workshop.results, job=job))

            return _begin(workshop, move)

        return _answer(request_of, data, begin)

    return [look_at, begin_transfer, *_job_answers(workshop.jobs)]


def _label_answers(graph: GraphDesk, desk: LabelDesk) -> list[Answer]:
    def fit(data: Any) -> dict[str, Any]:
        return _answer(LabelRequest, data, lambda request: asdict(desk.fit(request)))

    def find_points(data: Any) -> dict[str, Any]:
        return _answer(Upload, data, lambda upload: _found(upload, graph.find))

    return [find_points, fit]


def _job_answers(jobs: Jobs) -> list[Answer]:
    """What the page asks of a job that it began, by its key."""

    def job_state(data: Any) -> dict[str, Any]:
        return _answer(JobKey, data, lambda job: jobs.state(job.key))

    def stop_job(data: Any) -> dict[str, Any]:
        def stop(job: JobKey) -> dict[str, Any]:
            jobs.stop(job.key)
            return {}

        return _answer(JobKey, data, stop)

    return [job_state, stop_job]


def _begin(workshop: Workshop, work: Work) -> dict[str, Any]:
    return {"key": workshop.jobs.start(work)}


def _walk(
    request: VideoRequest, graph: AutoLink, workshop: Workshop, *, name: str, with_pictures: bool = True
) -> dict[str, Any]:
    """Begin to look for the keypoints of an uploaded video's frames."""
    workshop.uploads.get(request.token)

    def work(job: Job) -> dict[str, Any]:
        with workshop.uploads.using(request.token) as [file], naming(file):
            stream = open_upload(file)
            walk = walk_video(graph, stream, name=name, with_pictures=with_pictures, progress=job.progress)
            walk.remark = file.named(walk.remark)
        return asdict(walk)

    return _begin(workshop, work)


def _facts(token: str, uploads: Shelf) -> dict[str, Any]:
    """What an uploaded file holds; one that cannot be read is not kept."""
    with uploads.using(token) as [file]:
        try:
            with naming(file):
                return asdict(facts_of(file))
        except ValueError:
            uploads.remove(token)
            raise


def _found(upload: Upload, find: Callable[[Any], FoundPoints], *, or_video: bool = False) -> dict[str, Any]:
    pixels = picture_of(upload.name, upload.content, or_video=or_video)
    shown = for_screen(pixels)
    height, width = shown.shape[:2]
    return {**asdict(find(pixels)), "picture": data_url(shown), "width": width, "height": height}


def _painted(desk: PaintingDesk, request: PaintRequest) -> dict[str, Any]:
    return {
        "picture": data_url(desk.paint(request)),
        "command": desk.command(request.style),
        "file": keypoints_json(request.keypoints),
    }


def _answer(
    kind: type[Request] | Callable[[dict[str, Any]], Request], data: Any, work: Callable[[Request], dict[str, Any]]
) -> dict[str, Any]:
    """What the page gets for what it sent, a request of a ``kind``, or one that is made of it by a function."""

    def checked() -> dict[str, Any]:
        if not isinstance(data, dict):
            raise ValueError("the page sent something else than it should; load it again")
        return work(build(kind, data) if isinstance(kind, type) else kind(data))

    return answer_of(checked)
