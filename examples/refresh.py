"""How often to choose real images: DREAM keeps a choice for ten steps, random sampling draws again at every step.

make table1 PROFILE=cpu IPC=1 PLUGINS=examples/refresh.py METHODS=dm,dm+random-10,dm+dream,dm+dream-1
"""

from dreamlib import methods, samplers

dm, every_tenth, every = methods["dm"], samplers.Random(every=10), samplers.Representative(every=1)
methods.register(dm.using(sampler=every_tenth, name="dm+random-10", label="DM, random, kept for 10 steps"))
methods.register(dm.using(sampler=every, name="dm+dream-1", label="DM+DREAM, chosen at every step"))
