"""What features are worth: probes, fine-tuning, label efficiency, and the report."""

from cpc_keras.evaluation.bootstrap_interval import bootstrap_interval
from cpc_keras.evaluation.check_leakage import check_leakage
from cpc_keras.evaluation.choose_setting import choose_setting
from cpc_keras.evaluation.classification_metrics import (
    accuracy_interval,
    classification_metrics,
    wilson_interval,
)
from cpc_keras.evaluation.compare_runs import compare_runs
from cpc_keras.evaluation.comparison_rows import COMPARISON_ROWS, comparison_rows
from cpc_keras.evaluation.draw_method_tables import draw_method_tables
from cpc_keras.evaluation.extract_features import extract_features
from cpc_keras.evaluation.feature_map import feature_map
from cpc_keras.evaluation.feature_verdict import feature_verdict
from cpc_keras.evaluation.fine_tune import fine_tune
from cpc_keras.evaluation.format_method_tables import format_method_tables
from cpc_keras.evaluation.image_classifier import image_classifier
from cpc_keras.evaluation.iteration_curve import iteration_curve, saved_encoders
from cpc_keras.evaluation.label_efficiency import FRACTIONS, label_efficiency, num_fits
from cpc_keras.evaluation.label_scores import label_scores
from cpc_keras.evaluation.labels_saved import labels_saved
from cpc_keras.evaluation.leakage_result import LeakageFinding, LeakageMap, LeakageResult
from cpc_keras.evaluation.linear_probe import LinearProbe, linear_probe
from cpc_keras.evaluation.method_tables import method_tables
from cpc_keras.evaluation.nearest_images import nearest_images
from cpc_keras.evaluation.nearest_neighbors import nearest_neighbors
from cpc_keras.evaluation.network_row import NetworkRow
from cpc_keras.evaluation.probe_row import ProbeRow
from cpc_keras.evaluation.published_results import PUBLISHED_RESULTS, Published
from cpc_keras.evaluation.result_lock import result_lock
from cpc_keras.evaluation.result_log import ResultLog
from cpc_keras.evaluation.retrieve_patches import PatchRetrieval, retrieve_patches
from cpc_keras.evaluation.run_evidence import RunEvidence
from cpc_keras.evaluation.run_pictures import load_pictures, run_pictures, save_pictures
from cpc_keras.evaluation.sgd_probe import SGDProbe
from cpc_keras.evaluation.summary_table import (
    ROW_TITLES,
    format_table,
    method_title,
    row_title,
    summarize,
    verdict,
)
from cpc_keras.evaluation.thumbnails import thumbnails
from cpc_keras.evaluation.top_k_accuracy import top_k_accuracy
from cpc_keras.evaluation.whole_image_cnn import whole_image_cnn
from cpc_keras.evaluation.write_classifier import write_classifier
from cpc_keras.evaluation.write_report import write_report

__all__ = [
    "COMPARISON_ROWS",
    "FRACTIONS",
    "PUBLISHED_RESULTS",
    "ROW_TITLES",
    "LeakageFinding",
    "LeakageMap",
    "LeakageResult",
    "LinearProbe",
    "NetworkRow",
    "PatchRetrieval",
    "ProbeRow",
    "Published",
    "ResultLog",
    "RunEvidence",
    "SGDProbe",
    "accuracy_interval",
    "bootstrap_interval",
    "check_leakage",
    "choose_setting",
    "classification_metrics",
    "compare_runs",
    "comparison_rows",
    "draw_method_tables",
    "extract_features",
    "feature_map",
    "feature_verdict",
    "fine_tune",
    "format_method_tables",
    "format_table",
    "image_classifier",
    "iteration_curve",
    "label_efficiency",
    "label_scores",
    "labels_saved",
    "linear_probe",
    "load_pictures",
    "method_tables",
    "method_title",
    "nearest_images",
    "nearest_neighbors",
    "num_fits",
    "result_lock",
    "retrieve_patches",
    "row_title",
    "run_pictures",
    "save_pictures",
    "saved_encoders",
    "summarize",
    "thumbnails",
    "top_k_accuracy",
    "verdict",
    "whole_image_cnn",
    "wilson_interval",
    "write_classifier",
    "write_report",
]
