"""What strategies do, a plain line each for who meets them first; what starts are called. In: names; out: words."""

from evaluator.active_learning.names import Start, Strategy

STRATEGIES = {
    Strategy.RANDOM: "Any image, by chance. This is what the others have to beat.",
    Strategy.UNCERTAINTY: "The images of whose class the head is least sure.",
    Strategy.ENTROPY: "The images for which the head spreads its belief most evenly over all classes.",
    Strategy.MARGIN: "The images for which the two likeliest classes are nearly tied.",
    Strategy.BALD: "The images on which the head disagrees with itself when parts of its input are left out at random.",
    Strategy.POWERBALD: "As BALD, mixed with chance, so that one batch does not hold many images of a kind.",
    Strategy.CORESET: "One after the other the image that is farthest from everything labelled, so that no region "
    "stays empty.",
    Strategy.BADGE: "Images that would change the head much, and each in another direction.",
    Strategy.ALFAMIX: "Images whose predicted class flips when they are moved a little towards labelled ones; one from "
    "each cluster of these.",
    Strategy.TYPICLUST: "The most typical image of the largest clusters that have no label yet. It does not ask the "
    "head.",
    Strategy.PROBCOVER: "Images that have the most neighbours not yet covered by a label. It does not ask the head.",
    Strategy.DROPQUERY: "Images whose predicted class changes when parts of the input are left out at random; one from "
    "each cluster of these.",
}  # fmt: skip
START_TITLES = {
    Start.RANDOM: "random images", Start.CENTROID: "the middles of clusters", Start.TYPICLUST: "TypiClust's own",
    Start.PROBCOVER: "ProbCover's own",
}  # fmt: skip
