"""One small plug-in of each kind that balance takes from other packages; `examples.vae_generator` is a generator.

A package names them in its pyproject.toml:

    [project.entry-points."balancer.sources"]
    jsonl = "examples.extending.jsonl_source:jsonl"

    [project.entry-points."balancer.checks"]
    brightness = "examples.extending.brightness_check:brightness"

    [project.entry-points."balancer.arms"]
    square-root-sampling = "examples.extending.square_root_arm:ARM"

    [project.entry-points."balancer.loggers"]
    tensorboard = "examples.extending.tensorboard_logger:TensorBoard"
"""
