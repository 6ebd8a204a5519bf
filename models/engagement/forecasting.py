"""What is done with forecasts, once a model has answered: made, judged, learnt from, told.

The second pass over what `models.engagement.observing` noted, in the same order. What is learnt of
widths and of exposure is served from the next epoch on (a 48th of the horizon), so that all posts
of an epoch can be sharpened at once and an interval can be judged as it was served.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.forecast_settings import ForecastSettings
from models.engagement.answers import AnsweredBatch
from models.engagement.conformal import EPOCHS, EPOCHS_OF_HORIZON, covered
from models.engagement.experts import MED32, experts_of_one
from models.engagement.items import Told
from models.engagement.layout import KNOWN, RARITIES, STEPS, log16
from models.engagement.noted import Noted, What
from models.engagement.rarity import surprise_of
from models.engagement.served import Served
from models.engagement.sharpening import five_levels
from models.engagement.shown import Logs, Shown
from models.engagement.sources import Numbers, Settled, SourceState
from models.engagement.telling import Teller


class Forecaster:
    """The forecasts of a partition.

    Args:
        settings: The settings of the forecaster.
        numbers: The sources and queries, with what is learnt of them.
        teller: Tells of them.

    Attributes:
        epoch: That of the last thing that was done.
    """

    def __init__(self, settings: ForecastSettings, numbers: Numbers, teller: Teller) -> None:
        self.epoch = 0
        self._epoch_s = settings.horizon_s / EPOCHS_OF_HORIZON
        self._numbers = numbers
        self._teller = teller

    def run(self, noted: Sequence[Noted], batch: AnsweredBatch | None) -> Told:
        """Do what was noted, in order; return what is to be published."""
        told = Told()
        shown: list[Shown] = []
        for note in noted:
            epoch = int(note.now_s // self._epoch_s)
            if epoch != self.epoch:
                self._teller.tell(shown, told)
                shown = []
                self._begin(epoch)
            source = self._numbers.sources_by_number[note.post.source]
            shown.append(self._do(note, source, batch))
        self._teller.tell(shown, told)
        return told

    def _begin(self, epoch: int) -> None:
        """Serve from now on what the last epoch taught."""
        self.epoch = epoch
        for source in self._numbers.sources.values():
            source.served[epoch % EPOCHS] = [widths.factors() for widths in source.widths]
            for learnt in (*source.shrunk, *source.ordinary):
                learnt.use()
            source.is_changed = True
            if source.to_settle or any(source.to_learn):
                source.is_exposure_changed = True
            for post in source.to_settle:
                prior = [five_levels(*of_target) for of_target in post.prior]
                source.exposure.settle(post.key, _numbers(post.finals), prior)
            for rarity, posts in enumerate(source.to_learn):
                for _ in range(posts):
                    source.exposure.learn_least(surprise_of(rarity))
            source.to_settle, source.to_learn = [], [0] * RARITIES

    def _do(self, note: Noted, source: SourceState, batch: AnsweredBatch | None) -> Shown:
        """Do one thing; return what is to be shown of it."""
        inner: Logs = ()
        version = ""
        if note.what is What.POSTED:
            assert batch is not None  # noqa: S101 a post was asked about
            inner = self._forecast(note, source, batch)
            version = batch.model_version
        served = Served.of(note.post, source.served)
        greyed = source.quality.is_greyed()
        if note.what is What.SETTLED:
            self._learn(note, source, served)
        elif note.what is What.AGED and any(count is not None for count in note.seen):
            age_s = note.now_s - note.post.at
            source.exposure.sample(note.key, note.post.at, age_s, _numbers(note.seen))
            source.is_exposure_changed = True
        elif note.what is What.GONE:
            source.exposure.forget(note.key)
            source.is_exposure_changed = True
        queries = [self._numbers.queries_by_number[n].name for n in note.post.queries]
        has = tuple(source.ever_known)
        return Shown(note, source, served, greyed, has, inner, version, queries)

    def _forecast(self, note: Noted, source: SourceState, batch: AnsweredBatch) -> Logs:
        """Keep what is expected of a new post; return the widths of its inner quantiles."""
        row, judged = note.row, source.judged
        is_known = bool(batch.known[row, judged])
        points = batch.experts[row] @ source.hedges[is_known].weights
        middles = [log16(point) for point in points.tolist()]
        asked = batch.kept[row, judged].tolist()
        for (down, up), middle in zip(batch.widths[row].tolist(), middles, strict=True):
            asked += (down, middle, up)
        note.post.expect(self.epoch % EPOCHS, judged, asked)
        note.post.mark(KNOWN, is_known)
        return batch.inner[row].tolist()

    def _learn(self, note: Noted, source: SourceState, served: Served) -> None:
        """Judge a forecast by its outcome and learn from it."""
        source.is_changed = True
        if source.exposure.has(note.key):
            source.to_settle.append(Settled(note.key, list(note.seen), served.outer))
        outcomes = [(t, count) for t, count in enumerate(note.seen) if count is not None]
        if not outcomes:
            return
        is_known = note.post.has(KNOWN)
        if is_known or note.post.at >= source.known_since_s:
            for target, count in outcomes:
                source.widths[is_known].update(target, served.modelled(target), count)
                source.shrunk[is_known].update(target, served.modelled(target), count)
        self._choose_judged(source, [target for target, _ in outcomes])
        judged = note.post.judged
        count = note.seen[judged]
        if judged == source.judged and count is not None:
            outcome = log16(math.log1p(count))
            source.hedges[is_known].update(experts_of_one(served.kept), outcome / STEPS)
            judgement = (
                served.widths[judged][1],
                served.kept[MED32],
                outcome,
                round(1000 * covered(served.spread(judged), count)),
                int(is_known),
            )
            source.quality.add(judgement)
            source.note_what_is_known(is_known, note.now_s)
            for number in note.post.queries:
                query = self._numbers.queries_by_number[number]
                query.quality.add(judgement)
                query.is_changed = True

    def _choose_judged(self, source: SourceState, known: Sequence[int]) -> None:
        """Judge a source by likes, or by the first target of which outcomes are known."""
        for target in known:
            source.ever_known[target] = True
        first = source.ever_known.index(True)
        if first != source.judged:
            source.judged = first


def _numbers(counts: Sequence[int | None]) -> list[float]:
    return [math.nan if count is None else float(count) for count in counts]
