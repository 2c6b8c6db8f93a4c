import ast


def bad(text, args):
    # ruleid: eval-of-input
    dtype = eval(args.dtype)
    # ruleid: eval-of-input
    exec(open(args.config).read(), globals())
    # ruleid: eval-of-input
    return dtype, eval(f"torch.{text}")


def good(model, text):
    # ok: eval-of-input
    model.eval()
    # ok: eval-of-input
    ast.literal_eval(text)
    # ok: eval-of-input
    return eval("1 + 1")
