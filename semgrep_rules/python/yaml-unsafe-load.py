import yaml
from yaml import SafeLoader


def bad(stream):
    # ruleid: yaml-unsafe-load
    yaml.load(stream)
    # ruleid: yaml-unsafe-load
    yaml.load(stream, Loader=yaml.Loader)
    # ruleid: yaml-unsafe-load
    yaml.load(stream, yaml.FullLoader)
    # ruleid: yaml-unsafe-load
    yaml.load_all(stream, Loader=yaml.UnsafeLoader)
    # ruleid: yaml-unsafe-load
    return yaml.unsafe_load(stream)


def good(stream, data):
    # ok: yaml-unsafe-load
    yaml.safe_load(stream)
    # ok: yaml-unsafe-load
    yaml.load(stream, Loader=yaml.SafeLoader)
    # ok: yaml-unsafe-load
    yaml.load(stream, SafeLoader)
    # ok: yaml-unsafe-load
    yaml.load_all(stream, Loader=yaml.CSafeLoader)
    # ok: yaml-unsafe-load
    return yaml.dump(data)
