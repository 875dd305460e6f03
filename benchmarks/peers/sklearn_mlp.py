"""scikit-learn: ``MLPClassifier`` with ``solver="sgd"``; without hidden layers it is softmax regression.

The same method as the others: mini-batches, heavy-ball momentum, no penalty; one ``partial_fit`` is one shuffled epoch.
``SGDClassifier`` is no peer: it takes one example at a time, one class against the rest, without momentum.
"""

from sklearn.neural_network import MLPClassifier

from benchmarks.setting import CLASSES, LEARNING_RATE, MOMENTUM


def prepare(row, data):
    model = MLPClassifier(
        hidden_layer_sizes=row.hidden,
        solver="sgd",
        alpha=0.0,
        batch_size=row.batch_size,
        learning_rate_init=LEARNING_RATE,
        momentum=MOMENTUM,
        nesterovs_momentum=False,
        random_state=0,
    )

    def epoch(steps):
        n = steps * row.batch_size
        model.partial_fit(data.x[:n], data.y[:n], classes=range(CLASSES))
        return steps

    def weights():
        return [w for pair in zip(model.coefs_, model.intercepts_, strict=True) for w in pair]

    return epoch, weights
