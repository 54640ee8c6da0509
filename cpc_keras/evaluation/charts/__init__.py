"""Charts of the report: inline SVG that follows the reader's light or dark theme."""

from cpc_keras.evaluation.charts.course_chart import course_chart
from cpc_keras.evaluation.charts.label_chart import label_chart
from cpc_keras.evaluation.charts.themed_svg import themed_svg

__all__ = ["course_chart", "label_chart", "themed_svg"]
