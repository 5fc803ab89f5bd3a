"""What the command line calls, each imported on its first use: ``--help`` of a command must not wait for torch."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autolink_gen.clusters import ClusterChoice, ClusterError, without_text
    from autolink_gen.common.devices import chosen_device
    from autolink_gen.common.files import check_free, reason_of, write_text_atomically
    from autolink_gen.data.check import inspect_folder
    from autolink_gen.data.published.facts import describe_set, entry_of, list_sets
    from autolink_gen.data.published.places import existing_root
    from autolink_gen.data.published.prepare import download_set, prepare_set
    from autolink_gen.data.published.sets import SETS, ImageSet
    from autolink_gen.data.puppets.videos import write_puppet_videos
    from autolink_gen.data.shards.writer import pack_pictures
    from autolink_gen.data.video.prepare import prepare_videos, report_lines
    from autolink_gen.evaluation.evaluate import evaluate
    from autolink_gen.evaluation.figures import GridLook, draw_grid
    from autolink_gen.evaluation.puppets import beside_untrained
    from autolink_gen.evaluation.settings import SettingError
    from autolink_gen.export.onnx_files import export_onnx
    from autolink_gen.inference.detect_files import PoseOptions, detect_sources, open_graph, sources_of
    from autolink_gen.inference.generate import load_gan
    from autolink_gen.inference.paint_files import paint_files
    from autolink_gen.inference.poses import parse_edits, parse_seeds
    from autolink_gen.inference.smoothing import Smoothing
    from autolink_gen.inference.styles import Styles, parse_mix
    from autolink_gen.inference.transfer import load_transfer
    from autolink_gen.inference.transfer_files import TransferFiles
    from autolink_gen.inference.transfer_pairs import animate_pairs, read_pairs
    from autolink_gen.inference.transfer_video import Look
    from autolink_gen.inference.view_graph import view_graph
    from autolink_gen.pretrained.features import inspect_cache, put_weights
    from autolink_gen.pretrained.shipped import SHIPPED
    from autolink_gen.recipes import parse_overrides, recipe_names
    from autolink_gen.runs import Kind, RunFolder
    from autolink_gen.studies.ablate import plan_ablation, run_ablation
    from autolink_gen.studies.benchmark import plan_benchmark, run_benchmark
    from autolink_gen.studies.jobs import WorkStoppedError
    from autolink_gen.studies.seed_runs import SeedRuns
    from autolink_gen.studies.sweep import run_sweep
    from autolink_gen.studies.sweep_axes import split_settings
    from autolink_gen.studies.sweep_plan import plan_sweep
    from autolink_gen.studio.desks import open_desks
    from autolink_gen.studio.server import serving
    from autolink_gen.training.calibration import calibrate_run
    from autolink_gen.training.importing import import_official
    from autolink_gen.training.launch import Launch
    from autolink_gen.training.loggers import LOGGER_NAMES
    from autolink_gen.training.painting_plans import GraphRequest, plan_gan, plan_transfer
    from autolink_gen.training.plans import Choices, plan_graph
    from autolink_gen.training.report import ending, resuming

_MODULES = {
    "Choices": "training.plans",
    "ClusterChoice": "clusters",
    "ClusterError": "clusters",
    "GraphRequest": "training.painting_plans",
    "GridLook": "evaluation.figures",
    "Kind": "runs",
    "LOGGER_NAMES": "training.loggers",
    "Launch": "training.launch",
    "Look": "inference.transfer_video",
    "ImageSet": "data.published.sets",
    "PoseOptions": "inference.detect_files",
    "RunFolder": "runs",
    "SETS": "data.published.sets",
    "SHIPPED": "pretrained.shipped",
    "SeedRuns": "studies.seed_runs",
    "SettingError": "evaluation.settings",
    "Smoothing": "inference.smoothing",
    "Styles": "inference.styles",
    "TransferFiles": "inference.transfer_files",
    "WorkStoppedError": "studies.jobs",
    "animate_pairs": "inference.transfer_pairs",
    "beside_untrained": "evaluation.puppets",
    "calibrate_run": "training.calibration",
    "check_free": "common.files",
    "chosen_device": "common.devices",
    "describe_set": "data.published.facts",
    "detect_sources": "inference.detect_files",
    "download_set": "data.published.prepare",
    "draw_grid": "evaluation.figures",
    "ending": "training.report",
    "entry_of": "data.published.facts",
    "evaluate": "evaluation.evaluate",
    "existing_root": "data.published.places",
    "export_onnx": "export.onnx_files",
    "import_official": "training.importing",
    "inspect_cache": "pretrained.features",
    "inspect_folder": "data.check",
    "list_sets": "data.published.facts",
    "load_gan": "inference.generate",
    "load_transfer": "inference.transfer",
    "open_desks": "studio.desks",
    "open_graph": "inference.detect_files",
    "pack_pictures": "data.shards.writer",
    "paint_files": "inference.paint_files",
    "parse_edits": "inference.poses",
    "parse_mix": "inference.styles",
    "parse_overrides": "recipes",
    "parse_seeds": "inference.poses",
    "plan_ablation": "studies.ablate",
    "plan_benchmark": "studies.benchmark",
    "plan_gan": "training.painting_plans",
    "plan_graph": "training.plans",
    "plan_sweep": "studies.sweep_plan",
    "plan_transfer": "training.painting_plans",
    "prepare_set": "data.published.prepare",
    "prepare_videos": "data.video.prepare",
    "put_weights": "pretrained.features",
    "read_pairs": "inference.transfer_pairs",
    "reason_of": "common.files",
    "recipe_names": "recipes",
    "report_lines": "data.video.prepare",
    "resuming": "training.report",
    "run_ablation": "studies.ablate",
    "run_benchmark": "studies.benchmark",
    "run_sweep": "studies.sweep",
    "serving": "studio.server",
    "sources_of": "inference.detect_files",
    "split_settings": "studies.sweep_axes",
    "view_graph": "inference.view_graph",
    "without_text": "clusters",
    "write_puppet_videos": "data.puppets.videos",
    "write_text_atomically": "common.files",
}


def __getattr__(name: str) -> Any:
    """Import what was asked for from its module."""
    if name not in _MODULES:
        raise AttributeError(f"module 'autolink_gen.verbs' has no attribute {name!r}")
    return getattr(importlib.import_module(f"autolink_gen.{_MODULES[name]}"), name)
