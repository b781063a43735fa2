"""Decoder processes: any bytes at all, and no picture can hold the service.

::

    service                                     fork server (processes.py, forkserver.py)
    ├─ queues.py   who is next                  └─ imported everything, knows no keys, makes decoders
    ├─ pool.py     who reads what      fork N,       ├─ decoder 1 (worker.py), confined (confine.py)
    └─ processes.py    kill N ────────────────►      └─ decoder 2 …
           │   ▲                     ended N ◄──          ▲
           │   └──────────────── answer ──────────────────┤
           └──────────── job: where it lies ──────────────┘

    shared block (buffers.py):   [ upload | pixels ]  [ upload | pixels ]  …
                       written by the service, and by a decoder

A decoder is killed when nobody waits for it any more, by the system's timer when it takes more of the processor than
any honest picture (``app.image.cost``), and by the system's limit on memory it gets no more than such a picture needs.
Whatever happens to it costs one answer. One that takes long while others wait makes way, and its picture begins again.
"""
