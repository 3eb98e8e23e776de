"""In place of the site's own configuration, which prepares the site. WEB_CONCURRENCY is the number of workers here too."""

import os

bind = f"127.0.0.1:{os.environ['PORT']}"
control_socket_disable = True
