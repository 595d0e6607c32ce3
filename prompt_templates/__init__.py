"""The packaged template packs: wordings for chest and bone radiographs, for `balancer.prompts` to read."""
