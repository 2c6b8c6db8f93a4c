import json
import pickle

import joblib
import numpy as np
import pandas as pd
from pickle import loads


def bad(stream, data, path):
    # ruleid: pickle-load
    pickle.load(stream)
    # ruleid: pickle-load
    loads(data)
    # ruleid: pickle-load
    pickle.Unpickler(stream).load()
    # ruleid: pickle-load
    joblib.load(path)
    # ruleid: pickle-load
    pd.read_pickle(path)
    # ruleid: pickle-load
    return np.load(path, allow_pickle=True)


def good(stream, data, path, value):
    # ok: pickle-load
    pickle.dump(value, stream)
    # ok: pickle-load
    json.load(stream)
    # ok: pickle-load
    np.load(path)
    # ok: pickle-load
    np.load(path, allow_pickle=False)
    # ok: pickle-load
    return pd.read_csv(path)
