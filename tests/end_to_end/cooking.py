"""An area that the site lacks: recipes, put together so that no two are alike."""

from __future__ import annotations

import random

COOKING = {
    "name": "cooking",
    "phrases": ["a recipe with ingredients and cooking times", "baking bread, roasting meat and stirring a sauce"],
}
_SENTENCES = (
    "Peel two large onions and chop them as finely as your patience allows.",
    "Heat a spoon of olive oil in a heavy pan until it begins to shimmer.",
    "Roast the peppers under the grill until their skins turn black.",
    "Whisk three eggs with a pinch of salt and a splash of cream.",
    "Let the dough rise in a warm corner of the kitchen for an hour.",
    "Crush four cloves of garlic with the flat side of the knife.",
    "Simmer the tomatoes over a low flame and stir from time to time.",
    "Grate a lemon's zest over the fish just before it is served.",
    "Fold the melted chocolate into the batter with a wooden spoon.",
    "Rinse the lentils and soak them overnight in plenty of cold water.",
    "Season the lamb with rosemary, thyme and coarse black pepper.",
    "Bake the loaf for forty minutes until the crust sounds hollow.",
    "Slice the aubergine, salt it and let it drain in a colander.",
    "Toast the almonds without fat until the kitchen smells of them.",
    "Pour the stock over the rice one ladle at a time.",
    "Dust the cake with icing sugar once it has cooled completely.",
    "Marinate the chicken in yoghurt, ginger and turmeric since the morning.",
    "Boil the potatoes in their skins and mash them with butter.",
    "Knead the pasta until it is as smooth as an ear lobe.",
    "Reduce the wine with shallots and a bay leaf to half its volume.",
    "Pickle the cucumbers in vinegar with dill and mustard seeds.",
    "Fry the sage leaves for a few seconds until they are crisp.",
    "Stuff the courgettes with couscous, mint and crumbled feta.",
    "Skim the foam from the broth and strain it through a cloth.",
    "Caramelise the sugar slowly and take it off the heat when amber.",
    "Blanch the spinach, squeeze it dry and season it with nutmeg.",
)
_SENTENCES_OF_A_RECIPE = 5


def recipes(count: int, *, seed: int = 0) -> list[str]:
    """``count`` different recipes."""
    chosen = random.Random(seed)
    return [" ".join(chosen.sample(_SENTENCES, _SENTENCES_OF_A_RECIPE)) for _ in range(count)]
