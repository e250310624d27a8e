"""Formulas over energy: emissions, water, break-even, and what other published calculators make of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable

EIT_PUE = 1.58  # the constant of Experiment Impact Tracker, whatever the setting's own PUE is
_S_PER_H = 3600.0
_W_PER_KW = 1000.0


def emissions_kgco2e(kwh: float, *, pue: float, grid_kgco2e_per_kwh: float) -> float:
    """Energy x PUE x grid intensity: the machine's energy, what its building adds, and the grid that feeds both.

    Source: Strubell et al. 2019, section 2 (PUE and intensity); CodeCarbon applies the same product.
    """
    return kwh * pue * grid_kgco2e_per_kwh


def water_l(kwh: float, *, pue: float, wue_l_per_kwh: float) -> float:
    """Energy x PUE x WUE in litres, with WUE per kWh that the site used, as in CodeCarbon.

    The Green Grid's WUE divides by the energy of the computers alone: give that figure divided by the PUE.
    """
    return kwh * pue * wue_l_per_kwh


def lacoste_kgco2e(*, watts: float, seconds: float, grid_kgco2e_per_kwh: float, offset: float = 0.0) -> float:
    """kW x hours x intensity x (1 - offset): thermal design power as if drawn all the time; no sensor, no PUE.

    Source: Lacoste et al. 2019, "Quantifying the Carbon Emissions of Machine Learning", arXiv:1910.09700; the ML CO2
    Impact calculator (mlco2/impact). 250 W for 100 h at 0.432 kg/kWh are 10.8 kg.
    """
    return watts / _W_PER_KW * seconds / _S_PER_H * grid_kgco2e_per_kwh * (1 - offset)


def impact_tracker_kwh(spans: Iterable[tuple[float, float]], *, pue: float = EIT_PUE) -> float:
    """Sum over spans of PUE x hours x attributable kW: what Experiment Impact Tracker calls `total_power`.

    Source: Henderson et al. 2020, arXiv:2002.05651; Breakend/experiment-impact-tracker. SustaiNLP ranked on it. A
    constant 100 W for 36 s gives 1 Wh x 1.58.

    Args:
        spans: (seconds, watts) with the watts that are this process's own, see `attributable_w`.
        pue: power usage effectiveness.
    """
    return sum(pue * seconds / _S_PER_H * watts / _W_PER_KW for seconds, watts in spans)


def attributable_w(*, processor_w: float, processor_share: float, gpu_w: float = 0.0) -> float:
    """The watts of one process: its share of the processor time that was used, times the processor's watts, plus GPU.

    Source: experiment_impact_tracker/cpu/intel.py. Three points are ours: the processor time that was used includes
    low-priority work, which the tool leaves out and so can give a process more than all; memory's own counter is not
    read, as CodeCarbon is asked for the package alone; and the GPU counts whole, as nothing else should run on it.
    """
    return processor_w * processor_share + gpu_w


def break_even_inferences(compress_kwh: float, *, reference_kwh: float, artifact_kwh: float, inferences: int) -> int:
    """After how many inferences the energy spent on compressing is paid back; rounded up.

    compress / (reference energy of one inference - artifact energy of one inference). Ours: the question of
    measuring.md, section 4, answered with the simplest quotient. Raises `ValueError` if the artifact saves nothing.

    Args:
        compress_kwh: energy of making the artifact from the reference.
        reference_kwh: the reference's energy of `inferences` inferences.
        artifact_kwh: the artifact's energy of as many.
        inferences: how many those are.
    """
    saved_kwh = reference_kwh - artifact_kwh
    if saved_kwh <= 0:
        raise ValueError(
            f"the artifact saves no energy: it uses {artifact_kwh:.3g} kWh for {inferences} inferences, the reference "
            f"{reference_kwh:.3g} kWh"
        )
    return math.ceil(compress_kwh / saved_kwh * inferences)
