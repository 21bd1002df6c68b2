"""How good a mask of clouds and shadows is: confusion counts, accuracies per scene and over scenes, agreement maps.

Pixels are judged by class against class, and summed up as the intercomparisons of the field do (CMIX: Skakun et al.
2022, Remote Sensing of Environment 274, 112990; CloudSEN12: Aybar et al. 2022, Scientific Data 9, 782). With a class
as the positive one, TP the pixels of it that were found, FN those that were not, FP the pixels of others that were
called it, and TN the rest:

| number | definition | undefined (NaN) where |
| --- | --- | --- |
| producer's accuracy (PA, recall) | TP / (TP + FN) | the reference has none of the class |
| user's accuracy (UA, precision) | TP / (TP + FP) | the mask has none of the class |
| specificity | TN / (TN + FP) | the reference has nothing else |
| balanced overall accuracy (BOA) | (PA + specificity) / 2 | either is |
| overall accuracy (OA) | (TP + TN) / all | nothing is labelled |
| F1 | 2 TP / (2 TP + FP + FN) | the class is in neither |

A number is taken of every scene and summed up by its median over the scenes, beside the pooled one, in which scenes
with much of a class weigh more. PA, UA and F1 are summed up over the scenes whose reference has the class, BOA over
those that have the class and something else, as CloudSEN12 did; false alarms in scenes without the class would drop
out, and are therefore given as a number of their own. A labelled pixel for which a mask has no answer (255) is an
error: it counts in the denominators of PA, specificity, OA and F1, and is no FP.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
