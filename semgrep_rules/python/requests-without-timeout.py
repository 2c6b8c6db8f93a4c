import urllib.request
from urllib.request import urlopen

import requests
from requests import post


def bad(url, data):
    # ruleid: requests-without-timeout
    requests.get(url)
    # ruleid: requests-without-timeout
    post(url, json=data)
    # ruleid: requests-without-timeout
    requests.get(url, timeout=None)
    # ruleid: requests-without-timeout
    return urlopen(url).read()


def good(url, data, options):
    # ok: requests-without-timeout
    requests.get(url, timeout=10)
    # ok: requests-without-timeout
    requests.post(url, json=data, timeout=(3, 30))
    # ok: requests-without-timeout
    requests.get(url, **options)
    # ok: requests-without-timeout
    requests.Session()
    # ok: requests-without-timeout
    return urllib.request.urlopen(url, timeout=10).read()
