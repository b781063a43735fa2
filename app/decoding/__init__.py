"""Decoder processes: any bytes at all, and no picture can hold the service.

::

    service                                     fork server (processes.py, forkserver.py)
    ├─ pool.py     who reads what      fork N,  └─ imported everything, knows no keys, makes decoders
    └─ processes.py    kill N ────────────────►      ├─ decoder 1 (worker.py), confined (confine.py)
           │   ▲                     ended N ◄──     └─ decoder 2 …
           │   └──────────────── answer ────────────────┘    ▲
           └──────────── job: where it lies ─────────────────┘

    shared block (buffers.py):   [ upload | pixels ]  [ upload | pixels ]  …
                       written by the service, and by a decoder

A decoder is killed when nobody waits for it any more, by the system's timer when it takes more of the processor than
any honest picture (``app.image.cost``), and by the system's limit on memory it gets no more than such a picture needs.
Whatever happens to it costs one answer.
"""
