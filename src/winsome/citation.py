"""BibTeX of what a run used, so that whoever publishes a number can cite where the method came from."""

from __future__ import annotations

from collections.abc import Iterable

from winsome.errors import unknown
from winsome.version import __version__

YEAR = 2026  # of this version


def own_entry() -> str:
    """The BibTeX entry of the Winsome that is installed, as `CITATION.cff` has it."""
    return f"""@software{{winsome{YEAR},
  title   = {{Winsome: win with some of the weights}},
  author  = {{{{The Winsome authors}}}},
  year    = {{{YEAR}}},
  version = {{{__version__}}}
}}"""


def bibtex(keys: Iterable[str]) -> str:
    """The BibTeX entries of `keys`, each once, in the order given, ready to paste.

    A key that begins with "@" is an entry itself: of a part of one's own.

    Raises:
        WinsomeError: an unknown key, by name.
    """
    entries = []
    for key in keys:
        if key.lstrip().startswith("@"):
            entries.append(key.strip())
        elif key in CITATIONS:
            entries.append(CITATIONS[key])
        else:
            raise unknown("citation", key, CITATIONS)
    return "\n\n".join(dict.fromkeys(entries))


CITATIONS: dict[str, str] = {
    "oh2025sign": """@inproceedings{oh2025sign,
  title         = {Find A Winning Sign: Sign Is All We Need to Win the Lottery},
  author        = {Oh, Junghun and Baik, Sungyong and Lee, Kyoung Mu},
  booktitle     = {International Conference on Learning Representations},
  year          = {2025},
  eprint        = {2504.05357},
  archiveprefix = {arXiv}
}""",
    "gadhikar2024masks": """@inproceedings{gadhikar2024masks,
  title         = {Masks, Signs, And Learning Rate Rewinding},
  author        = {Gadhikar, Advait and Burkholz, Rebekka},
  booktitle     = {International Conference on Learning Representations},
  year          = {2024},
  eprint        = {2402.19262},
  archiveprefix = {arXiv}
}""",
    "frankle2019lottery": """@inproceedings{frankle2019lottery,
  title         = {The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks},
  author        = {Frankle, Jonathan and Carbin, Michael},
  booktitle     = {International Conference on Learning Representations},
  year          = {2019},
  eprint        = {1803.03635},
  archiveprefix = {arXiv}
}""",
    "renda2020comparing": """@inproceedings{renda2020comparing,
  title         = {Comparing Rewinding and Fine-tuning in Neural Network Pruning},
  author        = {Renda, Alex and Frankle, Jonathan and Carbin, Michael},
  booktitle     = {International Conference on Learning Representations},
  year          = {2020},
  eprint        = {2003.02389},
  archiveprefix = {arXiv}
}""",
    "frankle2020linear": """@inproceedings{frankle2020linear,
  title         = {Linear Mode Connectivity and the Lottery Ticket Hypothesis},
  author        = {Frankle, Jonathan and Dziugaite, Gintare Karolina and Roy, Daniel M. and Carbin, Michael},
  booktitle     = {International Conference on Machine Learning},
  year          = {2020},
  eprint        = {1912.05671},
  archiveprefix = {arXiv}
}""",
    "frankle2020early": """@inproceedings{frankle2020early,
  title         = {The Early Phase of Neural Network Training},
  author        = {Frankle, Jonathan and Schwab, David J. and Morcos, Ari S.},
  booktitle     = {International Conference on Learning Representations},
  year          = {2020},
  eprint        = {2002.10365},
  archiveprefix = {arXiv}
}""",
    "han2015learning": """@inproceedings{han2015learning,
  title         = {Learning both Weights and Connections for Efficient Neural Networks},
  author        = {Han, Song and Pool, Jeff and Tran, John and Dally, William J.},
  booktitle     = {Advances in Neural Information Processing Systems},
  year          = {2015},
  eprint        = {1506.02626},
  archiveprefix = {arXiv}
}""",
    "zhou2019deconstructing": """@inproceedings{zhou2019deconstructing,
  title         = {Deconstructing Lottery Tickets: Zeros, Signs, and the Supermask},
  author        = {Zhou, Hattie and Lan, Janice and Liu, Rosanne and Yosinski, Jason},
  booktitle     = {Advances in Neural Information Processing Systems},
  year          = {2019},
  eprint        = {1905.01067},
  archiveprefix = {arXiv}
}""",
    "evci2020rigl": """@inproceedings{evci2020rigl,
  title         = {Rigging the Lottery: Making All Tickets Winners},
  author        = {Evci, Utku and Gale, Trevor and Menick, Jacob and Castro, Pablo Samuel and Elsen, Erich},
  booktitle     = {International Conference on Machine Learning},
  year          = {2020},
  eprint        = {1911.11134},
  archiveprefix = {arXiv}
}""",
    "gadhikar2023random": """@inproceedings{gadhikar2023random,
  title         = {Why Random Pruning Is All We Need to Start Sparse},
  author        = {Gadhikar, Advait and Mukherjee, Sohom and Burkholz, Rebekka},
  booktitle     = {International Conference on Machine Learning},
  year          = {2023},
  eprint        = {2210.02412},
  archiveprefix = {arXiv}
}""",
    "lee2019snip": """@inproceedings{lee2019snip,
  title         = {SNIP: Single-shot Network Pruning based on Connection Sensitivity},
  author        = {Lee, Namhoon and Ajanthan, Thalaiyasingam and Torr, Philip H. S.},
  booktitle     = {International Conference on Learning Representations},
  year          = {2019},
  eprint        = {1810.02340},
  archiveprefix = {arXiv}
}""",
    "wang2020grasp": """@inproceedings{wang2020grasp,
  title         = {Picking Winning Tickets Before Training by Preserving Gradient Flow},
  author        = {Wang, Chaoqi and Zhang, Guodong and Grosse, Roger},
  booktitle     = {International Conference on Learning Representations},
  year          = {2020},
  eprint        = {2002.07376},
  archiveprefix = {arXiv}
}""",
    "tanaka2020synflow": """@inproceedings{tanaka2020synflow,
  title         = {Pruning neural networks without any data by iteratively conserving synaptic flow},
  author        = {Tanaka, Hidenori and Kunin, Daniel and Yamins, Daniel L. K. and Ganguli, Surya},
  booktitle     = {Advances in Neural Information Processing Systems},
  year          = {2020},
  eprint        = {2006.05467},
  archiveprefix = {arXiv}
}""",
    "blalock2020state": """@inproceedings{blalock2020state,
  title         = {What is the State of Neural Network Pruning?},
  author        = {Blalock, Davis and Gonzalez Ortiz, Jose Javier and Frankle, Jonathan and Guttag, John},
  booktitle     = {Conference on Machine Learning and Systems},
  year          = {2020},
  eprint        = {2003.03033},
  archiveprefix = {arXiv}
}""",
    "zhou2021learning": """@inproceedings{zhou2021learning,
  title         = {Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch},
  author        = {Zhou, Aojun and Ma, Yukun and Zhu, Junnan and Liu, Jianbo and Zhang, Zhijie and Yuan, Kun and others},
  booktitle     = {International Conference on Learning Representations},
  year          = {2021},
  eprint        = {2102.04010},
  archiveprefix = {arXiv}
}""",
    "gadhikar2025signin": """@inproceedings{gadhikar2025signin,
  title         = {Sign-In to the Lottery: Reparameterizing Sparse Training From Scratch},
  author        = {Gadhikar, Advait and Jacobs, Tom and Zhou, Chao and Burkholz, Rebekka},
  booktitle     = {Advances in Neural Information Processing Systems},
  year          = {2025},
  eprint        = {2504.12801},
  archiveprefix = {arXiv}
}""",
    "jacobs2025ham": """@misc{jacobs2025ham,
  title         = {{HAM}: A Hyperbolic Step to Regulate Implicit Bias},
  author        = {Jacobs, Tom and Gadhikar, Advait and Rubio-Madrigal, Celia and Burkholz, Rebekka},
  year          = {2025},
  eprint        = {2506.02630},
  archiveprefix = {arXiv}
}""",
    "dejorge2021progressive": """@inproceedings{dejorge2021progressive,
  title         = {Progressive Skeletonization: Trimming more fat from a network at initialization},
  author        = {de Jorge, Pau and Sanyal, Amartya and Behl, Harkirat S. and Torr, Philip H. S. and others},
  booktitle     = {International Conference on Learning Representations},
  year          = {2021},
  eprint        = {2006.09081},
  archiveprefix = {arXiv}
}""",
    "zhu2017prune": """@misc{zhu2017prune,
  title         = {To prune, or not to prune: exploring the efficacy of pruning for model compression},
  author        = {Zhu, Michael and Gupta, Suyog},
  year          = {2017},
  eprint        = {1710.01878},
  archiveprefix = {arXiv}
}""",
    "peste2021acdc": """@inproceedings{peste2021acdc,
  title         = {{AC/DC}: Alternating Compressed/DeCompressed Training of Deep Neural Networks},
  author        = {Peste, Alexandra and Iofinova, Eugenia and Vladu, Adrian and Alistarh, Dan},
  booktitle     = {Advances in Neural Information Processing Systems},
  year          = {2021},
  eprint        = {2106.12379},
  archiveprefix = {arXiv}
}""",
    "gadhikar2024cyclic": """@misc{gadhikar2024cyclic,
  title         = {Cyclic Sparse Training: Is it Enough?},
  author        = {Gadhikar, Advait and Nelaturu, Sree Harsha and Burkholz, Rebekka},
  year          = {2024},
  eprint        = {2406.02773},
  archiveprefix = {arXiv}
}""",
    "alpaydin1998digits": """@misc{alpaydin1998digits,
  title        = {Optical Recognition of Handwritten Digits},
  author       = {Alpaydin, E. and Kaynak, C.},
  year         = {1998},
  howpublished = {UCI Machine Learning Repository}
}""",
    "krizhevsky2009learning": """@techreport{krizhevsky2009learning,
  title       = {Learning Multiple Layers of Features from Tiny Images},
  author      = {Krizhevsky, Alex},
  institution = {University of Toronto},
  year        = {2009}
}""",
    "le2015tiny": """@misc{le2015tiny,
  title        = {Tiny ImageNet Visual Recognition Challenge},
  author       = {Le, Ya and Yang, Xuan S.},
  year         = {2015},
  howpublished = {CS 231N, Stanford University}
}""",
    "russakovsky2015imagenet": """@article{russakovsky2015imagenet,
  title         = {ImageNet Large Scale Visual Recognition Challenge},
  author        = {Russakovsky, Olga and Deng, Jia and Su, Hao and Krause, Jonathan and Satheesh, Sanjeev and others},
  journal       = {International Journal of Computer Vision},
  year          = {2015},
  eprint        = {1409.0575},
  archiveprefix = {arXiv}
}""",
}
