"""Read a file of the bucket `mp3s` to its end, do nothing with it, and print the seconds that it took.

python -m benchmarks.plain_read MONGODB_URL FILE_ID
"""

import sys
import time

from gridfs import GridFSBucket

from functions.shared.mongo import connect_mongo


def main() -> None:
    """Connect first, so that only the reading counts."""
    database = connect_mongo(sys.argv[1])
    database.client.admin.command("ping")
    started = time.perf_counter()
    with GridFSBucket(database, bucket_name="mp3s").open_download_stream(sys.argv[2]) as stream:
        while stream.readchunk():
            pass
    print(time.perf_counter() - started)
    database.client.close()


if __name__ == "__main__":
    main()
