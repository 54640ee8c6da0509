"""What features are worth: probes, fine-tuning, label efficiency, and the report."""

from cpc_keras.evaluation.bootstrap_interval import bootstrap_interval
from cpc_keras.evaluation.check_leakage import check_leakage
from cpc_keras.evaluation.choose_setting import choose_setting
from cpc_keras.evaluation.classification_metrics import classification_metrics, wilson_interval
from cpc_keras.evaluation.comparison_rows import comparison_rows
from cpc_keras.evaluation.draw_method_tables import draw_method_tables
from cpc_keras.evaluation.extract_features import extract_features
from cpc_keras.evaluation.fine_tune import fine_tune
from cpc_keras.evaluation.format_method_tables import format_method_tables
from cpc_keras.evaluation.image_classifier import image_classifier
from cpc_keras.evaluation.iteration_curve import iteration_curve, saved_encoders
from cpc_keras.evaluation.label_efficiency import FRACTIONS, label_efficiency, num_fits
from cpc_keras.evaluation.label_scores import label_scores, top_k_accuracy
from cpc_keras.evaluation.leakage_result import LeakageFinding, LeakageMap, LeakageResult
from cpc_keras.evaluation.linear_probe import LinearProbe, linear_probe
from cpc_keras.evaluation.method_tables import method_tables
from cpc_keras.evaluation.nearest_images import nearest_images
from cpc_keras.evaluation.nearest_neighbors import nearest_neighbors
from cpc_keras.evaluation.network_row import NetworkRow
from cpc_keras.evaluation.probe_row import ProbeRow
from cpc_keras.evaluation.published_results import PUBLISHED_RESULTS, Published
from cpc_keras.evaluation.result_log import ResultLog
from cpc_keras.evaluation.sgd_probe import SGDProbe
from cpc_keras.evaluation.summary_table import format_table, summarize, verdict
from cpc_keras.evaluation.whole_image_cnn import whole_image_cnn
from cpc_keras.evaluation.write_report import write_report

__all__ = [
    "FRACTIONS",
    "PUBLISHED_RESULTS",
    "LeakageFinding",
    "LeakageMap",
    "LeakageResult",
    "LinearProbe",
    "NetworkRow",
    "ProbeRow",
    "Published",
    "ResultLog",
    "SGDProbe",
    "bootstrap_interval",
    "check_leakage",
    "choose_setting",
    "classification_metrics",
    "comparison_rows",
    "draw_method_tables",
    "extract_features",
    "fine_tune",
    "format_method_tables",
    "format_table",
    "image_classifier",
    "iteration_curve",
    "label_efficiency",
    "label_scores",
    "linear_probe",
    "method_tables",
    "nearest_images",
    "nearest_neighbors",
    "num_fits",
    "saved_encoders",
    "summarize",
    "top_k_accuracy",
    "verdict",
    "whole_image_cnn",
    "wilson_interval",
    "write_report",
]
