"""Work of a lane, captured and launched again; a refused capture leaves the stream as it was."""

from __future__ import annotations

import numpy as np
import pytest

from fundusrt.cuda import stages
from fundusrt.cuda.graph import StreamGraph
from fundusrt.cuda.lane import Lane
from fundusrt.errors import BackendUnavailable
from fundusrt.manifest import PreprocessSpec
from tests.sdk.cuda.stage_cases import picture

pytestmark = pytest.mark.gpu


def test_a_graph_does_what_its_launches_did(lane: Lane) -> None:
    spec = PreprocessSpec()
    sent = lane.upload("pixels", picture(301, 180))[0]
    once = lane.download(stages.enhance(lane, sent, None, spec)).copy()
    graph = StreamGraph.capture(lane.handle, lambda: stages.enhance(lane, sent, None, spec) and None)
    out = lane.array("enhanced", (301, 180), np.uint8)
    lane.zero(out)
    assert not lane.download(out).any()
    for _ in range(3):
        lane.zero(out)
        graph.launch(lane.handle)
        assert np.array_equal(lane.download(out), once)
    lane.upload("pixels", picture(301, 180, seed=5))
    expected = lane.download(stages.enhance(lane, sent, None, spec)).copy()
    graph.launch(lane.handle)
    assert np.array_equal(lane.download(out), expected)
    assert not np.array_equal(expected, once)
    graph.close()
    with pytest.raises(BackendUnavailable, match="after close"):
        graph.launch(lane.handle)


def test_what_cannot_be_captured_is_refused_and_forgotten(lane: Lane) -> None:
    sent = lane.upload("pixels", picture(33, 250))[0]
    lane.synchronize()
    with pytest.raises(lane.device.cuda.Error):
        StreamGraph.capture(lane.handle, lane.synchronize)
    assert np.array_equal(lane.download(sent), picture(33, 250))
