"""Sentences about three subjects, written for these tests."""

from __future__ import annotations

COOKING = (
    "Simmer the tomato sauce with garlic and basil for twenty minutes.",
    "Whisk the eggs and sugar until pale, then fold in the flour.",
    "Roast the carrots with olive oil and a pinch of salt.",
    "Knead the bread dough and let it rise in a warm kitchen.",
    "This soup recipe needs onions, celery and chicken stock.",
    "Melt the butter in a frying pan and brown the mushrooms.",
    "Bake the apple pie until the crust is golden.",
    "Season the steak with pepper before you grill it.",
    "Boil the pasta in salted water and drain it well.",
    "A spoonful of honey sweetens the salad dressing.",
    "Marinate the chicken overnight in yoghurt and spices.",
    "Grate some cheese over the potato gratin before baking.",
    "Chop the parsley finely and stir it into the risotto.",
    "The chef serves grilled fish with lemon and rice.",
)
FOOTBALL = (
    "The striker scored twice and the home team won the match.",
    "The goalkeeper saved a penalty in the last minute.",
    "The club signed a new midfielder before the season began.",
    "Fans filled the stadium for the cup final.",
    "The referee showed a red card after a hard tackle.",
    "The coach changed his defence at half time.",
    "They lost the league title on goal difference.",
    "A free kick from twenty metres hit the crossbar.",
    "The national team qualified for the world cup.",
    "The captain was injured and left the pitch.",
    "Extra time ended without a goal, so penalties decided.",
    "The winger crossed the ball and the forward headed it in.",
    "Relegation threatens the team after five defeats.",
    "The players trained hard before the derby.",
)
SPACE = (
    "The telescope photographed a galaxy billions of light years away.",
    "Astronauts repaired a solar panel outside the space station.",
    "The rover drilled into a rock on the surface of Mars.",
    "A rocket carried the satellite into orbit around the Earth.",
    "Astronomers found a planet circling a distant star.",
    "The probe flew past the rings of Saturn.",
    "Gravity waves from two black holes reached the detector.",
    "The moon lander sent pictures of a crater.",
    "A comet's tail points away from the sun.",
    "The launch was delayed because of a leak in the fuel tank.",
    "The nebula is a cloud of dust where stars are born.",
    "The spacecraft will study the icy moons of Jupiter.",
)
SENTENCES = tuple(
    (text, truth) for texts, truth in ((COOKING, "cooking"), (FOOTBALL, "football"), (SPACE, "space")) for text in texts
)
MIXED = tuple(sorted(SENTENCES, key=lambda pair: pair[0][::-1]))
"""The same, with the subjects in no order."""
TEXTS = tuple(text for text, _ in MIXED)
TRUTH = tuple(truth for _, truth in MIXED)

LABELS = (
    {"name": "cooking", "phrases": ("recipes and preparing food", "ingredients in a kitchen")},
    {"name": "football", "phrases": ("a football match", "players, teams and goals")},
    {"name": "space", "phrases": ("astronomy and outer space", "rockets, planets and stars")},
)
