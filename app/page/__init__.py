"""The page to try the service on, at ``/``: static files, served as they lie here by ``app/http/page.py``.

No build step and no framework: what a browser runs is what stands here. One idea a file; every English string is in
``en.js``, every Chinese one in ``zh.js``.
"""
