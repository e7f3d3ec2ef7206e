"""The teams of the simulated league: invented towns."""

TEAMS: tuple[str, ...] = (
    *("Ashby", "Brackwell", "Calder", "Dunmore", "Easthorn", "Fallow", "Garrick", "Hollins"),
    *("Inverlow", "Jarrow Bay", "Kestrel", "Langholm", "Marden", "Northcote", "Orrin", "Penwick"),
    *("Quarry Hill", "Redmoor", "Saltash", "Thornby", "Ulverton", "Varley", "Westerby", "Yarrow"),
    *("Alderney", "Blackfen", "Copperdale", "Drayton", "Elmsworth", "Farrow", "Greystone", "Hartwell"),
    *("Islay Point", "Juniper", "Kirkdale", "Lowmoor", "Millbrook", "Norland", "Oakhaven", "Pilgrim"),
    *("Ravensby", "Stonebridge", "Tarrow", "Underhill", "Vale Cross", "Whitsand", "Wexcombe", "Zeal"),
)
