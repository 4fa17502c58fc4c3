"""Celery in the shape of the other peers: `peer.py worker`, or `peer.py produce JOBS bulk 0`.

Prefork with two processes, which is its quickest here, and late acknowledgement, so that like the others it loses no
job when a worker dies. LOAD_REDIS, LOAD_RECORDS and the 16 bytes a handler writes are those of the other peers.
"""

import ctypes
import json
import os
import signal
import struct
import sys
import time

from celery import Celery
from celery.signals import worker_process_init

app = Celery("peer", broker=os.environ["LOAD_REDIS"])
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
PR_SET_PDEATHSIG = 1
records = None


@worker_process_init.connect
def end_with_parent(**_):
    """The measuring program kills the parent alone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@app.task(name="peer.job")
def job(due, data):
    global records
    if records is None:
        records = os.open(os.environ["LOAD_RECORDS"], os.O_WRONLY | os.O_APPEND)
    os.write(records, struct.pack("dd", time.time(), float(due)))


def payload():
    body = {"operation": "image_gen", "provider": "fal", "model": "fal-ai/flux/dev"}
    body["prompt"] = "x" * (300 - len(json.dumps(body)) - len(', "prompt": ""'))
    return body


def produce(jobs):
    data, begun = payload(), time.time()
    # There is no bulk publish; many over one held connection come closest.
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(jobs):
            job.apply_async((0, data), producer=producer)
    print(time.time() - begun)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        app.worker_main(
            ["worker", "-l", "ERROR", "-P", "prefork", "-c", "2", "--without-gossip", "--without-mingle"]
        )
    else:
        produce(int(sys.argv[2]))
