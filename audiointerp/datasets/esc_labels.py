"""The categories of ESC-50 and ESC-10, and the names their folders have had."""

import re

_BY_TARGET = """
dog rooster pig cow frog cat hen insects sheep crow
rain sea_waves crackling_fire crickets chirping_birds water_drops wind pouring_water toilet_flush thunderstorm
crying_baby sneezing clapping breathing coughing footsteps laughing brushing_teeth snoring drinking_sipping
door_wood_knock mouse_click keyboard_typing door_wood_creaks can_opening washing_machine vacuum_cleaner clock_alarm
clock_tick glass_breaking
helicopter chainsaw siren car_horn engine train church_bells airplane fireworks hand_saw
"""
_ESC10 = "chainsaw clock_tick crackling_fire crying_baby dog helicopter rain rooster sea_waves sneezing"
_FIRST_NAMES = {
    "dog_bark": "dog",
    "baby_cry": "crying_baby",
    "person_sneeze": "sneezing",
    "fire_crackling": "crackling_fire",
    "insects_flying": "insects",
    "door_knock": "door_wood_knock",
}

ESC50_LABELS = tuple(_BY_TARGET.split())
"""The 50 categories in the order of ESC-50's targets, 0 to 49."""

_GROUPS = (
    "animals",
    "natural soundscapes and water",
    "human, not speech",
    "interior and domestic",
    "exterior and urban",
)

ESC50_GROUPS = {label: _GROUPS[target // 10] for target, label in enumerate(ESC50_LABELS)}
"""The group of each category: ten categories each."""

ESC10_LABELS = tuple(_ESC10.split())
"""The 10 categories in alphabetical order."""


def category_name(folder_name):
    """ESC-50's name of a category, from the name of its folder in any of the published editions.

    Parameters
    ----------
    folder_name : str

    Returns
    -------
    str

    Examples
    --------
    >>> category_name("001 - Dog bark")
    'dog'
    >>> category_name("404 - Door - wood creaks")
    'door_wood_creaks'
    """
    bare = re.sub(r"^\d{3} - ", "", folder_name)
    name = re.sub(r"[^a-z0-9]+", "_", bare.lower()).strip("_")
    return _FIRST_NAMES.get(name, name)
