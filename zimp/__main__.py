from .reports.command import main

main()
