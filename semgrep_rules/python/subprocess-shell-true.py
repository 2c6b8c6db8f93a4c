import os
import subprocess
from subprocess import check_output


def bad(path, name):
    # ruleid: subprocess-shell-true
    subprocess.run(f"rm -r {path}", shell=True, check=True)
    # ruleid: subprocess-shell-true
    subprocess.Popen("ls " + path, shell=True)
    # ruleid: subprocess-shell-true
    check_output("nvidia-smi", shell=True)
    # ruleid: subprocess-shell-true
    os.system(f"mkdir -p runs/{name}")
    # ruleid: subprocess-shell-true
    return subprocess.getoutput("git log " + path)


def good(path):
    # ok: subprocess-shell-true
    subprocess.run(["rm", "-r", path], check=True)
    # ok: subprocess-shell-true
    subprocess.run(["ls", path], shell=False, check=False)
    # ok: subprocess-shell-true
    os.system("clear")
    # ok: subprocess-shell-true
    return check_output(["nvidia-smi"])
